"""What fed a run, as a document that its workflow can read: its form, its address, and where it is put."""
