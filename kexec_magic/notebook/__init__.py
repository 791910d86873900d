"""The magics: a line and a cell become a request, and a run becomes a live view and a result."""
