"""The pieces of the checker's page: drawings, heat maps, tables, the template and its style."""
