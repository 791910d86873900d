"""What a notebook is shown of a run: text that it can show, as much of it as the kernel may send, and its tail."""
