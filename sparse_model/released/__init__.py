"""What was released with Gao et al. 2025 (https://github.com/openai/circuit_sparsity): checkpoints and circuits."""
