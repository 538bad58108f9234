"""Moving what is known of users from one domain's items to another's."""
