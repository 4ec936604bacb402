# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # scripts/setup, which sources this, sets and uses some of the variables
# The broker and the data. Sourced by scripts/setup.

java_oldest=17
broker_files=reki/embedded/broker

# Prints the major version of the java on PATH, or nothing.
java_version() {
    java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1
}

last_resort() {
    say "  broker: $1, so the last-resort broker is used: everything works, but topics live in memory and are lost when it stops"
}

# Apache Kafka through Maven, unless somebody has one already or there is no Java.
get_broker() {
    if [ -n "${REKI_KAFKA_BOOTSTRAP:-}" ] || [ -n "${KAFKA_HOME:-}" ]; then return 0; fi
    if [ "${REKI_BROKER:-}" = last-resort ]; then
        last_resort "REKI_BROKER=last-resort"
        return 0
    fi
    version=$(java_version)
    if [ -z "$version" ]; then
        last_resort "there is no java on PATH (Apache Kafka needs 17 or newer)"
        return 0
    elif [ "$version" -lt "$java_oldest" ]; then
        last_resort "java $version is too old (Apache Kafka needs 17 or newer)"
        return 0
    fi
    kafka=$(sed -n '/<artifactId>kafka_/{n;s/.*<version>\(.*\)<\/version>.*/\1/p;}' $broker_files/pom.xml)
    target="$cache/kafka/$kafka"
    # The folder gets its name only after every sum was right.
    if [ -d "$target/libs" ]; then return 0; fi
    if ! command -v mvn >/dev/null 2>&1; then
        last_resort "there is no mvn on PATH to fetch Apache Kafka with"
        return 0
    fi
    partial="$target.partial"
    rm -rf "$partial"
    mkdir -p "$partial"
    # Maven writes beside the pom, so it gets a copy.
    cp $broker_files/pom.xml "$partial/pom.xml"
    run "Apache Kafka $kafka" mvn -q -B -f "$partial/pom.xml" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$partial/libs" ||
        stop "Maven could not fetch Apache Kafka (see above): check the network, behind a mirror name it in ~/.m2/settings.xml, or set REKI_BROKER=last-resort to do without"
    sums="$root/$broker_files/sha256.txt"
    if ! (cd "$partial/libs" && sha256sum --strict --quiet -c "$sums") >>"$log" 2>&1 ||
        [ "$(find "$partial/libs" -name '*.jar' | wc -l)" -ne "$(wc -l <"$sums")" ]; then
        rm -rf "$partial"
        stop "the jars of Apache Kafka do not match $broker_files/sha256.txt: the mirror altered them; nothing was kept"
    fi
    mkdir -p "$target"
    mv "$partial/libs" "$target/libs"
    rm -rf "$partial"
}

# MovieLens-100K out of a wheel that is never installed.
get_data() {
    target="$cache/recbole"
    if [ -d "$target/recbole/dataset_example/ml-100k" ]; then return 0; fi
    rm -rf "$target" "$target.partial"
    run "MovieLens-100K" "$uv" pip install --python "$root/.venv/bin/python" --target "$target.partial" --no-deps \
        --no-build --require-hashes -r locks/data.txt || explain "fetching MovieLens-100K (package recbole)"
    mv "$target.partial" "$target"
}
