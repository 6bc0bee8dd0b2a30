"""Rules and the policy that decides over an exchange."""
