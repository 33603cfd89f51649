"""The `sagemaker-model-monitor-analyzer` container: baselines, and checks of captured data against them."""
