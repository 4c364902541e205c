package state

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"
)

// Endpoint is endpoint.json: where a service is. The service writes it into its
// data folder at each start; its local agents read it before every connect.
type Endpoint struct {
	// URL is the service's address, with a scheme: http://127.0.0.1:8440.
	URL string `json:"endpoint"`
	// S3 is where outputs are uploaded to; "" for AWS's own S3.
	S3 string `json:"s3_endpoint,omitempty"`
	// TLS is the address of the service's HTTPS listener, and CAFile the path of
	// the certificate to trust for it; "" where there is none.
	TLS    string `json:"tls_url,omitempty"`
	CAFile string `json:"ca_file,omitempty"`
	Region string `json:"region,omitempty"`
	// PID and Started are the service's process, so that an agent that cannot
	// reach it sees whether it is still there.
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`
	// StartTime and BootID make the process unmistakable; see Process. Without
	// them a pid alone counts.
	StartTime uint64 `json:"start_time,omitempty"`
	BootID    string `json:"boot_id,omitempty"`
}

// NewEndpoint is the endpoint of the calling process.
func NewEndpoint(url, s3, region string, now time.Time) Endpoint {
	e := Endpoint{URL: url, S3: s3, Region: region, PID: os.Getpid(), Started: now.UTC().Truncate(time.Second), BootID: bootID()}
	e.StartTime, _ = startTime(e.PID)
	return e
}

// Alive tells whether the service's process still runs; true where the file
// names none.
func (e Endpoint) Alive() bool {
	return e.PID == 0 || Process{PID: e.PID, StartTime: e.StartTime, BootID: e.BootID}.Alive()
}

// ReadEndpoint reads endpoint.json. fs.ErrNotExist is in the chain of the error
// where there is none.
func ReadEndpoint(path string) (Endpoint, error) {
	var e Endpoint
	if err := Read(path, &e); err != nil {
		return e, err
	}
	if e.URL == "" {
		return e, fmt.Errorf("read %s: field endpoint is missing", path)
	}
	return e, nil
}

// WriteEndpoint writes endpoint.json, mode 0600, whole or not at all.
func WriteEndpoint(path string, e Endpoint) error { return writeJSON(path, e) }

// Activation is what lets an agent register once.
type Activation struct {
	ID     string `json:"activation_id"`
	Code   string `json:"activation_code"`
	Region string `json:"region,omitempty"`
}

// ReadActivation reads an activation file. What `aws ssm create-activation` prints
// is one, too.
func ReadActivation(path string) (Activation, error) {
	var in struct {
		Activation

		CLIID   string `json:"ActivationId"`
		CLICode string `json:"ActivationCode"`
	}
	if err := Read(path, &in); err != nil {
		return Activation{}, err
	}
	a := in.Activation
	a.ID, a.Code = cmp.Or(a.ID, in.CLIID), cmp.Or(a.Code, in.CLICode)
	if a.ID == "" || a.Code == "" {
		return a, fmt.Errorf("read %s: it has to have activation_id and activation_code, or ActivationId and ActivationCode", path)
	}
	return a, nil
}

// WriteActivation writes an activation file, mode 0600. The agent removes it
// once it is registered.
func WriteActivation(path string, a Activation) error { return writeJSON(path, a) }

// RemoveActivation removes an activation file that was used.
func RemoveActivation(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove activation file: %w", err)
	}
	return nil
}
