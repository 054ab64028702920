"""The hub: what is asked of it, fetched from it and sent to it goes through `hub.client`."""
