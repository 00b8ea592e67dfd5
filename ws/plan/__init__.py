"""Plans: which artifacts some cases still need, how long they take to build, and in which order that is soonest."""
