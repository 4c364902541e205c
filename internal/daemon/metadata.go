package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/metadata"
	"ssmrun/internal/store"
)

// metadataInstance is one of Config.InstanceMetadata.
type metadataInstance struct {
	id, role string
	given    bool // a role, or none, was named
}

// metadataInstances reads i-…[=ROLE].
func (c *Config) metadataInstances() ([]metadataInstance, error) {
	var list []metadataInstance
	seen := map[string]bool{}
	for _, spec := range c.InstanceMetadata {
		m := metadataInstance{}
		m.id, m.role, m.given = strings.Cut(spec, "=")
		switch {
		case !ssmrun.ValidInstanceID(m.id) || !strings.HasPrefix(m.id, "i-"):
			return nil, fmt.Errorf("--instance-metadata %q: %q is not i- and 8 or 17 hexadecimal digits", spec, m.id)
		case seen[m.id]:
			return nil, fmt.Errorf("--instance-metadata %q: %s is named twice", spec, m.id)
		}
		if m.role != "" {
			ref, ok := identity.ParseRole(m.role)
			if !ok || ref.Account != "" {
				return nil, fmt.Errorf("--instance-metadata %q: %q is no name of a role", spec, m.role)
			}
			m.role = ref.Name
		}
		seen[m.id] = true
		list = append(list, m)
	}
	return list, nil
}

// metadataServer serves one instance's metadata.
type metadataServer struct {
	listener net.Listener
	server   *http.Server
}

// openMetadata opens the ports of the instances' metadata. They are served by
// Run.
func (d *Daemon) openMetadata(ctx context.Context) error {
	list, err := d.cfg.metadataInstances()
	if err != nil || len(list) == 0 {
		return err
	}
	d.info.InstanceMetadata = map[string]string{}
	for _, m := range list {
		h, role, err := d.metadataHandler(ctx, m)
		if err != nil {
			return err
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listen for the metadata of %s: %w", m.id, err)
		}
		s := &metadataServer{listener: listener, server: &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
			IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeaderBytes,
		}}
		d.metadata = append(d.metadata, s)
		at := "http://" + listener.Addr().String()
		d.info.InstanceMetadata[m.id] = at
		d.cfg.Logger.Warn("instance metadata is served: whoever reaches this port gets the keys of the role; it is for tests",
			"instance", m.id, "role", role, "address", at)
	}
	return nil
}

// metadataHandler makes the handler of an instance. Where no role was named, it is
// that of the profile which --ec2-instances tells of.
func (d *Daemon) metadataHandler(ctx context.Context, m metadataInstance) (http.Handler, string, error) {
	cfg := metadata.Config{
		Instance: identity.EC2Instance{ID: m.id, Scope: d.scopes()[0], Role: m.role}, Identity: d.identity, Now: d.cfg.Now,
		Denied: func(err error) {
			d.cfg.Logger.Warn("an instance gets no keys of its role", "instance", m.id, "error", err)
		},
	}
	err := d.store.View(ctx, func(tx store.Tx) error {
		told, err := tx.FindEC2Instance(m.id)
		if errors.Is(err, ssmrun.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		cfg.Instance.Scope = told.Scope
		cfg.About = metadata.About{
			Zone: told.AvailabilityZone, InstanceType: told.InstanceType, ImageID: told.ImageID,
			PrivateIP: told.PrivateIP, Host: told.PrivateDNS,
		}
		if !m.given {
			cfg.Instance.Role = told.Profile
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("look for instance %s: %w", m.id, err)
	}
	return metadata.New(cfg), cfg.Instance.Role, nil
}

// closeMetadata is safe twice.
func (d *Daemon) closeMetadata() {
	for _, s := range d.metadata {
		_ = s.server.Close()
		_ = s.listener.Close() // closed already where it was served
	}
}
