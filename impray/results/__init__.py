"""Numbers -> rows -> tables -> MLflow. The tables are the truth; everything else is a view of them."""
