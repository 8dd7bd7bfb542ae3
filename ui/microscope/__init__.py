"""The page Microscope: slides of the server's folders, as a pathologist looks at them."""
