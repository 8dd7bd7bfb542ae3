"""The computing half of Leukoscope: imaging, inference, statistics, learning."""
