"""What is said of students side by side: the table, the pictures and the gate. It needs neither torch nor matplotlib."""
