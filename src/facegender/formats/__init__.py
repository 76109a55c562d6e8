"""How records are written: JSON lines, CSV, Parquet, SQLite, and tables for people."""
