"""The site's own Sphinx extensions, one small file each; ``_config.yml`` lists them in the order of loading."""
