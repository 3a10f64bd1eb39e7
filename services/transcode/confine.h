/* confine: what the service and the program that confines its children (confine.c) agree on; with the other helper,
 * too. */
#pragma once

enum {
    CONFINE_FAILED = 125, /* it could not even begin; why is on standard error */
    CONFINE_INPUT_FD = 3, /* where the program finds its input: /proc/self/fd/3 */
    /* Of transcode-image (image.c). */
    IMAGE_UNREADABLE = 3,
    IMAGE_TOO_LARGE = 4
};
