# The toolkit on a CPU:  docker build -t dicenet_mm .
#     docker run --rm -v "$PWD:/data" dicenet_mm tools/demo.py /data/photo.jpg --weights /data/model.pth --out-dir /data/found
FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/dicenet_mm
COPY requirements requirements
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir \
    --extra-index-url https://download.pytorch.org/whl/cpu \
    "torch==$(sed -n 's/^torch==//p' requirements/common.txt)+cpu" \
    "torchvision==$(sed -n 's/^torchvision==//p' requirements/common.txt)+cpu" \
    -r requirements/tested.txt
COPY . .
RUN DICENET_MM_CUDA=0 /opt/venv/bin/pip install --no-cache-dir --no-build-isolation --no-deps -e .

FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libgomp1 && \
    rm -rf /var/lib/apt/lists/* && useradd --create-home user
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/dicenet_mm /opt/dicenet_mm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /opt/dicenet_mm
USER user
ENTRYPOINT ["python"]
CMD ["tools/demo.py", "--help"]
