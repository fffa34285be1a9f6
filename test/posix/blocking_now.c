/*
 * blocking_now - blocking, linked with -z relro -z now: its references are in
 * memory that is read-only by the time anybody can change them.
 */
#include "blocking.c"
