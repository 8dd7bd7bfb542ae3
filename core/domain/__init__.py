"""The terms of haematology and of results, and their arithmetic. Imports no other package."""
