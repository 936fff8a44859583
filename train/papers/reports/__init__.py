"""The report on each paper: its pictures, its tables beside that of the reported numbers, what was found."""
