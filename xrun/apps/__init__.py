"""Programs that built-in components run inside the job; they import nothing of xrun but errors and specs."""
