"""What periodic, data and drift rules cost and bring: one stream with known drift, a real model, the real engine."""
