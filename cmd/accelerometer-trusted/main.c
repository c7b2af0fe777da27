/*
 * accelerometer-trusted: lets phone readings of trusted customers through
 */
#include "daemon/daemon.h"
#include "streams/catalog.h"
#include "streams/streams.h"

int
main(int argc, char **argv)
{
    return daemon_main(argc, argv, &accelerometer_trusted, "lets phone readings of trusted customers through",
                       catalog_streams, &catalog_config);
}
