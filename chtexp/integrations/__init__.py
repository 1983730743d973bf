"""Dynamic sparse training in other people's trainers. Each file needs the library that it is named after, and no other does."""
