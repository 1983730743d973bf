"""Make the matrices of Figure 5 anew, after a change of what makes them: scripts/update_figure5.py."""

from chtexp.paper.draw import make_matrices
from chtexp.report.figures.matrices import FILE, write_matrices

if __name__ == "__main__":
    write_matrices(make_matrices())
    print(f"written: {FILE}")
