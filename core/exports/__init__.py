"""What leaves Leukoscope: JSON, tables, PDF, XLSX, FHIR, COCO, annotated images."""
