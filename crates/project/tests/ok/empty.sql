-- Nothing but comments; /* and a nested /* one */ too */
;;
/* The end. */
