"""The parts of the playground's screen: answers that grow, the prompt, the settings."""
