// Starts Argo Events' own EventSource or Sensor as its binary does, without the port for metrics: that is a constant, and
// here both run on one machine.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log"
	"os"

	"github.com/argoproj/argo-events/pkg/apis/events/v1alpha1"
	"github.com/argoproj/argo-events/pkg/eventsources"
	"github.com/argoproj/argo-events/pkg/metrics"
	"github.com/argoproj/argo-events/pkg/sensors"
	"github.com/argoproj/argo-events/pkg/shared/logging"
	sharedutil "github.com/argoproj/argo-events/pkg/shared/util"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"
)

func read(variable string, into any) {
	text, err := base64.StdEncoding.DecodeString(os.Getenv(variable))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		log.Fatalf("%s: %v", variable, err)
	}
}

func main() {
	bus := &v1alpha1.BusConfig{}
	read(v1alpha1.EnvVarEventBusConfig, bus)
	subject, pod := os.Getenv(v1alpha1.EnvVarEventBusSubject), os.Getenv(v1alpha1.EnvVarPodName)
	ctx := logging.WithLogger(signals.SetupSignalHandler(), logging.NewArgoEventsLogger())
	if err := start(ctx, bus, subject, pod); err != nil {
		log.Fatal(err)
	}
}

func start(ctx context.Context, bus *v1alpha1.BusConfig, subject, pod string) error {
	if os.Args[1] == "eventsource-service" {
		source := &v1alpha1.EventSource{}
		read(v1alpha1.EnvVarEventSourceObject, source)
		m := metrics.NewMetrics(source.Namespace)
		return eventsources.NewEventSourceAdaptor(source, bus, subject, pod, m).Start(ctx)
	}
	sensor := &v1alpha1.Sensor{}
	read(v1alpha1.EnvVarSensorObject, sensor)
	config, err := sharedutil.GetClientConfig(os.Getenv(v1alpha1.EnvVarKubeConfig))
	if err != nil {
		return err
	}
	client, dyn := kubernetes.NewForConfigOrDie(config), dynamic.NewForConfigOrDie(config)
	m := metrics.NewMetrics(sensor.Namespace)
	return sensors.NewSensorContext(client, dyn, sensor, bus, subject, pod, m).Start(ctx)
}
