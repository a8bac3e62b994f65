"""Who people are: organisations, their members and roles, sessions, second factors. ``api.auth`` says what a caller may."""
