"""Fine-tuning of a converted network in slayer, and its report."""
