#include "atrium/reasons.atrium.h"
#include "shared/blob_internal.h"

Err blob_s3_check_options(const BlobOptions *options)
{
    (void)options;
    return err_make(&INVALID_ARGUMENT, "BLOB_DRIVER: s3 comes with the next change");
}

Err blob_s3_open(const BlobOptions *options, Blob **out)
{
    (void)out;
    return blob_s3_check_options(options);
}
