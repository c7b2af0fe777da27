/*
 * customer-trusted: keeps the table of customers who share their data with research
 */
#include "daemon/daemon.h"
#include "streams/catalog.h"
#include "streams/streams.h"

int
main(int argc, char **argv)
{
    return daemon_main(argc, argv, &customer_trusted, "keeps the table of customers who share their data with research",
                       catalog_streams, &catalog_config);
}
