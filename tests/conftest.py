"""Small models and images that the tests share."""
