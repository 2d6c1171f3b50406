// CoreDNS with the few plugins that a cluster without a way out needs: the stock program links the SDKs of
// four clouds, which triples the build.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

// The order in which a query passes the plugins, as in the stock program.
func init() {
	dnsserver.Directives = []string{"bind", "health", "ready", "log", "errors", "cache", "template", "loop", "kubernetes"}
}

func main() { coremain.Run() }
