"""The spine: facts in, one transaction, acknowledgements out. The only writer."""
