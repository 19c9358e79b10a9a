"""What the algorithm does in discrete steps, against its flow."""
