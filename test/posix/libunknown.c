/*
 * libunknown - preloaded beside the library under test, it makes the C library one
 * whose thread record nobody knows: a debugger's description of it that is wrong.
 */
extern const unsigned _thread_db_pthread_tid[3];
const unsigned _thread_db_pthread_tid[3] = { 32, 1, 8 };
