/* confine: what the service and the program that confines its children (confine.c) agree on. */
#pragma once

enum {
    CONFINE_FAILED = 125, /* it could not even begin; why is on standard error */
    CONFINE_INPUT_FD = 3  /* where the program finds its input: /proc/self/fd/3 */
};
