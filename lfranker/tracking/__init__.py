"""All that knows MLflow: runs, tags, power sets, scores, models, and the Model Registry."""
