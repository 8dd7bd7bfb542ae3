"""Folders of any size: analysed by several processes or machines, written down as they come."""
