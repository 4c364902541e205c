// Package tlsca gives the HTTPS listener its certificates. It stands before step
// 3 (api) of the way of a run: before a request is read, its connection has to be
// one that callers and agents can trust. The daemon opens it; it calls nobody.
//
// There are two sources, and the daemon takes one:
//
//	CA     a certificate authority of the service's own, in its data folder; it
//	       issues one server certificate, in memory, and renews it by itself
//	Files  a certificate and key that the operator brings and renews
//
// The CA is made at the first start and lives twenty years, so that nobody has to
// carry a new ca.pem to the hosts. Two files: ca-key.pem (0600) holds key and
// certificate, so that the two are written at once; ca.pem (0644) is a copy of the
// certificate, for others.
//
// Why it is name-constrained. Some clients take further roots only from the
// system's store, and there an unlimited root would let whoever captures the
// service pass for every site that its hosts talk to. So the CA may speak for the
// service's domain, localhost and the names that it was told at the first start,
// and clients refuse anything else that it signs. The price: another domain needs
// another CA, which Open's error says. Addresses are not constrained: they
// change more often than names, and hardly anything else is trusted by address.
package tlsca
