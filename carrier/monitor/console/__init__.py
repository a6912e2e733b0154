"""The console: what people see of Carrier in a browser, and mend there."""
