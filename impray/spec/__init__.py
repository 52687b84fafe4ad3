"""What can be asked: the vocabulary of a sweep YAML as frozen, validated classes. Free of torch, ray, polars, mlflow."""
