/*
 * lake: writes every trusted and curated set to files
 */
#include "daemon/daemon.h"
#include "streams/catalog.h"
#include "streams/streams.h"

int
main(int argc, char **argv)
{
    return daemon_main(argc, argv, &lake, "writes every trusted and curated set to files",
                       catalog_streams, &catalog_config);
}
