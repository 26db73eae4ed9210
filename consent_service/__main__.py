"""`python -m consent_service` does what the command `consent-service` does."""

from consent_service.cli import main

if __name__ == "__main__":
    main()
