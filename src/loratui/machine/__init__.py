"""What this machine is: GPUs through NVML, the host through psutil, and the catalogue of GPUs to plan for."""
