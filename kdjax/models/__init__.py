"""Networks, their losses, and what a student learns from its teacher."""
