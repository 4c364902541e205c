package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Info tells how a running service is reached. It is the content of the ready
// file; see Config.ReadyFile.
type Info struct {
	Endpoint    string `json:"endpoint"`
	S3Endpoint  string `json:"s3_endpoint"`
	Region      string `json:"region"` // the first that is served
	AccountID   string `json:"account_id"`
	AccessKeyID string `json:"access_key_id"`
	SecretKey   string `json:"secret_access_key"`
	// TLSEndpoint is the address of the HTTPS listener, CAFile the certificate to
	// trust for it, and Domain what its host names end in; "" without one. CAFile is
	// "" too where the certificate is the operator's own.
	TLSEndpoint string   `json:"tls_endpoint,omitempty"`
	CAFile      string   `json:"ca_file,omitempty"`
	Domain      string   `json:"domain,omitempty"`
	InstanceIDs []string `json:"instance_ids"` // of the local agents
	// InstanceMetadata are the addresses where instances find their metadata, by
	// id; see Config.InstanceMetadata.
	InstanceMetadata map[string]string `json:"instance_metadata,omitempty"`

	PID     int    `json:"pid"`
	Data    string `json:"data"`
	Version string `json:"version"`
}

// write writes the ready file, whole or not at all, for its owner's eyes only.
func (i Info) write(path string) error {
	b, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the ready file: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".ready-*") // 0600
	if err != nil {
		return fmt.Errorf("write the ready file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the ready file: %w", err)
	}
	return nil
}

// text says that the service is ready and how to point tools at it. The secret
// stays in its file.
func (i Info) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ssmrun is ready on %s (region %s, account %s)\n", i.Endpoint, i.Region, i.AccountID)
	if len(i.InstanceIDs) > 0 {
		fmt.Fprintf(&b, "  instances   %s\n", strings.Join(i.InstanceIDs, " "))
	}
	if i.TLSEndpoint != "" {
		fmt.Fprintf(&b, "  https       %s, and the host names of %s\n", i.TLSEndpoint, i.Domain)
	}
	if i.CAFile != "" {
		fmt.Fprintf(&b, "  CA          %s\n", i.CAFile)
	}
	for _, id := range slices.Sorted(maps.Keys(i.InstanceMetadata)) {
		fmt.Fprintf(&b, "  metadata    %s of %s: gives the keys of its role to whoever reaches it\n", i.InstanceMetadata[id], id)
	}
	fmt.Fprintf(&b, "  data        %s\n\n", i.Data)
	fmt.Fprintf(&b, "Point any AWS tool at it:\n")
	fmt.Fprintf(&b, "  eval \"$(ssmrun env --data %s)\"\n", quote(i.Data))
	fmt.Fprintf(&b, "  ssmrun run --all -- uptime\n")
	fmt.Fprintf(&b, "  aws --endpoint-url %s ssm describe-instance-information\n", i.Endpoint)
	return b.String()
}

// quote makes a path fit for a shell.
func quote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
