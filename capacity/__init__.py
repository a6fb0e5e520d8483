"""How much hardware the service needs: measured service times, a simulation of the DAG, and a plan."""
